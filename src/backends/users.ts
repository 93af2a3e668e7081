import { renameUser } from '../resolvers/users.js';
import { service } from './endpoint.js';
import { payload, text, userId } from './payloads.js';

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
