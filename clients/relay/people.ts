import { graphql, type IEnvironment, requestSubscription } from 'relay-runtime';
import type { peoplePresenceSubscription } from './__generated__/peoplePresenceSubscription.graphql.js';
import type { peopleTypingSubscription } from './__generated__/peopleTypingSubscription.graphql.js';
import { codeOf } from './environment.js';

/**
 * Keeps `Room.typing` current.
 * @param onEnd - called with the code of the refusal
 * @returns how to stop
 */
export function watchTyping(environment: IEnvironment, roomId: string, onEnd: (code: string) => void): () => void {
  const { dispose } = requestSubscription<peopleTypingSubscription>(environment, {
    subscription: graphql`
      subscription peopleTypingSubscription($roomId: ID!) {
        typing(roomId: $roomId) {
          room {
            id
            typing {
              id
              name
            }
          }
        }
      }
    `,
    variables: { roomId },
    onError: (error) => onEnd(codeOf(error)),
  });
  return dispose;
}

/**
 * Keeps `User.presence` of these users current. A presence has no id: it is put where its user has it.
 * @param onEnd - called with the code of the refusal
 * @returns how to stop
 */
export function watchPresence(
  environment: IEnvironment,
  userIds: readonly string[],
  onEnd: (code: string) => void,
): () => void {
  const { dispose } = requestSubscription<peoplePresenceSubscription>(environment, {
    subscription: graphql`
      subscription peoplePresenceSubscription($userIds: [ID!]!) {
        presence(userIds: $userIds) {
          status
          lastSeenAt
          user {
            id
            name
          }
        }
      }
    `,
    variables: { userIds },
    updater: (store) => {
      const presence = store.getRootField('presence');
      const user = presence.getLinkedRecord('user');
      user.getOrCreateLinkedRecord('presence', 'Presence').copyFieldsFrom(presence);
    },
    onError: (error) => onEnd(codeOf(error)),
  });
  return dispose;
}
