import type { User as UserRow } from '../db/rows.js';
import { loadUsers } from '../resolvers/loaders.js';
import { getUsers, parseUserIds, parseUserSearch, searchUsers, shownName } from '../resolvers/users.js';
import { builder } from './builder.js';
import { checked } from './checked.js';

const defaultSearchSize = 20;

/** Fields of this type may answer with a user's number: all of a request are loaded in one query. */
export const User = builder.loadableObjectRef<UserRow, number>('User', {
  load: (ids, { deps }) => loadUsers(deps, ids),
});

User.implement({
  description: 'A user of the host platform.',
  fields: (t) => ({
    id: t.exposeID('id', { description: "The user's number on the host platform." }),
    name: t.string({
      description: 'The name that the platform gives, or "#5" for a user whom it has not named yet.',
      resolve: (user) => shownName(user),
    }),
  }),
});

builder.queryFields((t) => ({
  viewer: t.field({
    type: User,
    description: 'Who is asking.',
    resolve: (_root, _args, { viewer }) => viewer.userId,
  }),
  users: t.field({
    ...checked(parseUserIds),
    type: [User],
    nullable: { list: false, items: true },
    description:
      'Users by their numbers, in the same order; null for who is not known or, where the user directory is off, shares no room with the viewer.',
    args: { ids: t.arg.idList({ required: true, description: "Users' numbers, at most a page's size." }) },
    complexity: ({ ids }) => ({ field: 1, multiplier: ids.length }),
    resolve: (_root, { ids }, { deps, viewer }) => getUsers(deps, viewer, ids),
  }),
  searchUsers: t.field({
    ...checked(parseUserSearch),
    type: [User],
    description:
      "Users whose name starts with or contains the text, for a picker. FORBIDDEN where the server's user directory is off (USER_DIRECTORY).",
    args: {
      text: t.arg.string({
        required: true,
        description: 'A part of the name, 1 to 100 characters without spaces around it; letter case does not matter.',
      }),
      first: t.arg.int({ defaultValue: defaultSearchSize, description: "How many at most, up to a page's size." }),
    },
    complexity: ({ first }) => ({ field: 1, multiplier: first ?? defaultSearchSize }),
    resolve: (_root, { text, first }, { deps, viewer }) =>
      searchUsers(deps, viewer, { text, first: first ?? defaultSearchSize }),
  }),
}));
