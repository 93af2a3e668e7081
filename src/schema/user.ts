import type { UserProfile, User as UserRow } from '../db/user-row.js';
import { keptUser, loadProfile, loadUsers } from '../resolvers/loaders.js';
import { getUsers, parseUserIds, parseUserSearch, searchUsers, shownName } from '../resolvers/users.js';
import { builder } from './builder.js';
import { checked } from './checked.js';
import { Node } from './node.js';

const defaultSearchSize = 20;

/** A field of this type may resolve to a user's number: all users of a request are loaded in one query. */
export const User = builder.loadableObjectRef<UserRow, number>('User', {
  load: (ids, { deps }) => loadUsers(deps, ids),
});

User.implement({
  interfaces: [Node],
  description: 'A user of the host platform.',
  fields: (t) => ({
    id: t.exposeID('id', { description: "The user's number on the host platform." }),
    name: t.string({
      description: 'The name from the host platform, or "#5" for user 5 if the platform has not sent a name yet.',
      resolve: (user) => shownName(user),
    }),
    avatarUrl: t.string({
      nullable: true,
      description:
        'The picture from the host platform, an https URL. Null if the platform sent none, or the viewer may not see the name.',
      resolve: (user, _args, { deps }) => fromProfile(loadProfile(deps, user), ({ avatarUrl }) => avatarUrl),
    }),
    isDeleted: t.boolean({
      description: 'Whether the host platform has deleted the user. The name is then a fixed one.',
      resolve: (user, _args, { deps }) => fromProfile(loadProfile(deps, user), ({ isDeleted }) => isDeleted),
    }),
  }),
});

/** Known profiles take no promise: lists have hundreds of users. */
const fromProfile = <Value>(profile: UserProfile | Promise<UserProfile>, read: (profile: UserProfile) => Value) =>
  profile instanceof Promise ? profile.then(read) : read(profile);

builder.queryFields((t) => ({
  viewer: t.field({
    type: User,
    description: 'The authenticated user.',
    resolve: (_root, _args, { deps, viewer }) => keptUser(deps, viewer.userId),
  }),
  users: t.field({
    ...checked(parseUserIds),
    type: [User],
    nullable: { list: false, items: true },
    description:
      'Users by their numbers, in the same order. Null for an unknown user and, if the user directory is off, for one who shares no room with the viewer.',
    args: { ids: t.arg.idList({ required: true, description: 'User numbers, at most limits.maxPageSize.' }) },
    complexity: ({ ids }) => ({ field: 1, multiplier: ids.length }),
    resolve: (_root, { ids }, { deps, viewer }) => getUsers(deps, viewer, ids),
  }),
  searchUsers: t.field({
    ...checked(parseUserSearch),
    type: [User],
    description:
      'Users whose name starts with or contains the text, for a user picker. FORBIDDEN if the user directory of the server is off (USER_DIRECTORY).',
    args: {
      text: t.arg.string({
        required: true,
        description: 'A part of the name, 1 to 100 characters without the spaces around it; letter case is ignored.',
      }),
      first: t.arg.int({ defaultValue: defaultSearchSize, description: 'How many, at most limits.maxPageSize.' }),
    },
    complexity: ({ first }) => ({ field: 1, multiplier: first ?? defaultSearchSize }),
    resolve: (_root, { text, first }, { deps, viewer }) =>
      searchUsers(deps, viewer, { text, first: first ?? defaultSearchSize }),
  }),
}));
