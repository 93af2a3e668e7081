import {
  commitMutation,
  type Disposable,
  type GraphQLSubscriptionConfig,
  graphql,
  type IEnvironment,
  type OperationType,
  requestSubscription,
} from 'relay-runtime';
import type { peopleMarkReadMutation } from './__generated__/peopleMarkReadMutation.graphql.js';
import type { peoplePresenceSubscription } from './__generated__/peoplePresenceSubscription.graphql.js';
import type { peopleSetTypingMutation } from './__generated__/peopleSetTypingMutation.graphql.js';
import type { peopleTypingSubscription } from './__generated__/peopleTypingSubscription.graphql.js';
import { codeOf, pauseMsOf } from './environment.js';

/** The members of a room, with what they have read and whether they are there. `watchRoom` and `watchPresence` keep it current. */
export const membersDocument = graphql`
  query peopleMembersQuery($roomId: ID!, $first: Int = 100, $after: String) {
    room(id: $roomId) {
      id
      memberPage(first: $first, after: $after) {
        edges {
          node {
            id
            isAdmin
            lastReadSeq
            user {
              id
              name
              presence {
                status
                lastSeenAt
              }
            }
          }
        }
        pageInfo {
          endCursor
          hasNextPage
        }
      }
    }
  }
`;

/**
 * Keeps `Room.typing` current. Begins again after a failure that is temporary.
 * @param onEnd - called once if it has ended for good, with the code of the refusal; FORBIDDEN: the viewer has left the room
 * @returns how to stop
 */
export function watchTyping(environment: IEnvironment, roomId: string, onEnd: (code: string) => void): () => void {
  const config: GraphQLSubscriptionConfig<peopleTypingSubscription> = {
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
  };
  return keepSubscribed(environment, config, onEnd);
}

/**
 * Keeps `User.presence` of these users current, of none if there are none. A presence has no id: it is put where its user has it.
 * Begins again after a failure that is temporary.
 * @param onEnd - called once if it has ended for good, with the code of the refusal: the arguments must be corrected
 * @returns how to stop
 */
export function watchPresence(
  environment: IEnvironment,
  userIds: readonly string[],
  onEnd: (code: string) => void,
): () => void {
  if (userIds.length === 0) return () => undefined;
  const config: GraphQLSubscriptionConfig<peoplePresenceSubscription> = {
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
  };
  return keepSubscribed(environment, config, onEnd);
}

function keepSubscribed<T extends OperationType>(
  environment: IEnvironment,
  config: GraphQLSubscriptionConfig<T>,
  onEnd: (code: string) => void,
): () => void {
  let subscription: Disposable | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  const onNext = () => {
    failures = 0;
  };
  const onError = (error: unknown) => {
    const pauseMs = pauseMsOf(error, failures);
    failures += 1;
    if (pauseMs === undefined) onEnd(codeOf(error));
    else timer = setTimeout(begin, pauseMs);
  };
  const begin = () => {
    subscription = requestSubscription(environment, { ...config, onNext, onError });
  };
  begin();
  return () => {
    clearTimeout(timer);
    subscription?.dispose();
  };
}

/** Shows to the others that the viewer types: call it when they begin, every few seconds while they go on, and with false at the end. */
export function setTyping(environment: IEnvironment, roomId: string, isTyping: boolean): void {
  commitMutation<peopleSetTypingMutation>(environment, {
    mutation: graphql`
      mutation peopleSetTypingMutation($input: SetTypingInput!) {
        setTyping(input: $input) {
          expiresInMs
        }
      }
    `,
    variables: { input: { roomId, isTyping } },
    // The next signal takes its place.
    onError: () => undefined,
  });
}

/** Moves the viewer's read mark to a message that the server has, and brings the room's `unreadCount`. A failure changes nothing. */
export function markRead(environment: IEnvironment, roomId: string, messageId: string): void {
  commitMutation<peopleMarkReadMutation>(environment, {
    mutation: graphql`
      mutation peopleMarkReadMutation($input: MarkReadInput!) {
        markRead(input: $input) {
          room {
            id
            unreadCount
            viewerMember {
              id
              lastReadSeq
            }
          }
        }
      }
    `,
    variables: { input: { roomId, messageId } },
    // The next message that is read moves it as well.
    onError: () => undefined,
  });
}
