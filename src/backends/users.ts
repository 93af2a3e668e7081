import { renameUser } from '../resolvers/users.js';
import { payload, text, userId } from './payloads.js';
import { service } from './service.js';

export const userServices = [
  service(
    'chat.users.upsert',
    '`{ userId, name }`, as it is stored',
    payload({ userId, name: text }),
    async (deps, user) => {
      const name = await renameUser(deps, user);
      return { data: { ...user, name } };
    },
  ),
];
