import { deleteUser, updateUser } from '../resolvers/users.js';
import { optionalText, payload, text, userId } from './payloads.js';
import { service } from './service.js';

export const userServices = [
  service(
    'chat.users.upsert',
    '`{ userId, name }`, as it is stored, and `avatarUrl` if it was sent: an https URL, or null to remove it',
    payload({ userId, name: text, avatarUrl: optionalText }),
    async (deps, user) => {
      const name = await updateUser(deps, user);
      return { data: { ...user, name } };
    },
  ),
  service(
    'chat.users.delete',
    '`{ userId }`; the user has a fixed name and no picture from now on, until an upsert',
    payload({ userId }),
    async (deps, user) => {
      await deleteUser(deps, user.userId);
      return { data: user };
    },
  ),
];
