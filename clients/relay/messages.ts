import {
  applyOptimisticMutation,
  ConnectionHandler,
  commitMutation,
  graphql,
  type IEnvironment,
  type MutationConfig,
  type MutationParameters,
  type RecordProxy,
  type RecordSourceProxy,
  type RecordSourceSelectorProxy,
} from 'relay-runtime';
import { partsOf, typeOf } from '../attachments.js';
import { sendInOrder } from '../retry.js';
import type { messagesDeleteMutation } from './__generated__/messagesDeleteMutation.graphql.js';
import type { messagesEditMutation } from './__generated__/messagesEditMutation.graphql.js';
import type { messagesSendMutation } from './__generated__/messagesSendMutation.graphql.js';
import { codeOf, retryAfterMsOf } from './environment.js';

const sendDocument = graphql`
  mutation messagesSendMutation($input: SendMessageInput!) @raw_response_type {
    sendMessage(input: $input) {
      duplicate
      message {
        ...room_message
      }
    }
  }
`;

type SentFiles = messagesSendMutation['rawResponse']['sendMessage']['message']['attachments'];

/** The place of a message that the server has not given one yet: behind all others. */
const pendingSeq = 2 ** 31 - 1;

/** Whether a message is shown before the server has given it its place. */
export const isPending = ({ seq }: { readonly seq: number }): boolean => seq === pendingSeq;

/**
 * Sends a message that is shown at once, and once, whether its answer or its event comes first. Those of a room are sent in the
 * order of the calls. It stays while it is repeated, with the same id: for about a minute, after NETWORK, UNAVAILABLE and
 * RATE_LIMITED (see `sendInOrder`).
 * @throws the last error then, or at once any other refusal; the message is taken back, and `codeOf` has the code. Keep the id and
 *   the text, and call this again with both
 */
export async function sendMessage(
  environment: IEnvironment,
  message: {
    readonly id: string;
    readonly roomId: string;
    /** With attachments, a caption or ''. */
    readonly content: string;
    /** TEXT by default; IMAGE with an https URL as content. With attachments, they decide. */
    readonly type?: 'TEXT' | 'IMAGE';
    readonly sender: { readonly id: string; readonly name: string };
    /** Files, as `completeUpload` has returned them. */
    readonly attachments?: SentFiles;
  },
): Promise<void> {
  const { content, sender, attachments = [] } = message;
  // As the server returns them: otherwise the answer and the event would be of another message.
  const [id, roomId] = [message.id.toLowerCase(), message.roomId.toLowerCase()];
  const type = attachments.length === 0 ? (message.type ?? 'TEXT') : typeOf(attachments);
  const input = { id, roomId, ...partsOf(content, attachments), ...(attachments.length === 0 ? { type } : {}) };
  const variables: messagesSendMutation['variables'] = { input };
  const updater = (store: RecordSourceSelectorProxy) =>
    addMessage(store, roomId, store.getRootField('sendMessage')?.getLinkedRecord('message'));
  const optimisticResponse: messagesSendMutation['rawResponse'] = {
    sendMessage: {
      duplicate: false,
      message: {
        id,
        seq: pendingSeq,
        cursor: '',
        type,
        content,
        senderName: sender.name,
        sender,
        createdAt: new Date().toISOString(),
        editedAt: null,
        deletedAt: null,
        attachments,
        viewerCanEdit: false,
        viewerCanDelete: false,
      },
    },
  };
  const shown = applyOptimisticMutation(environment, {
    mutation: sendDocument,
    variables,
    optimisticResponse,
    optimisticUpdater: updater,
  });
  try {
    await change<messagesSendMutation>(environment, roomId, { mutation: sendDocument, variables, updater });
  } finally {
    shown.dispose();
  }
}

/** Changes the text of an own message. Comes behind what was sent to the room before, and is repeated like it. */
export function editMessage(
  environment: IEnvironment,
  roomId: string,
  messageId: string,
  content: string,
): Promise<void> {
  return change<messagesEditMutation>(environment, roomId, {
    mutation: graphql`
      mutation messagesEditMutation($input: EditMessageInput!) {
        editMessage(input: $input) {
          message {
            ...room_message
          }
        }
      }
    `,
    variables: { input: { messageId, content } },
  });
}

/** Deletes a message for everyone. Comes behind what was sent to the room before, and is repeated like it. */
export function deleteMessage(environment: IEnvironment, roomId: string, messageId: string): Promise<void> {
  return change<messagesDeleteMutation>(environment, roomId, {
    mutation: graphql`
      mutation messagesDeleteMutation($input: DeleteMessageInput!) {
        deleteMessage(input: $input) {
          message {
            ...room_message
          }
        }
      }
    `,
    variables: { input: { messageId } },
  });
}

/** Sends a mutation behind those that were sent to its room before, and repeats it. */
function change<T extends MutationParameters>(
  environment: IEnvironment,
  roomId: string,
  config: MutationConfig<T>,
): Promise<void> {
  const attempt = () =>
    new Promise<void>((resolve, reject) => {
      commitMutation<T>(environment, { ...config, onCompleted: () => resolve(), onError: reject });
    });
  return sendInOrder(environment, roomId.toLowerCase(), attempt, codeOf, retryAfterMsOf);
}

/** Puts a message into the list in the order of `seq`, once. */
export function addMessage(store: RecordSourceProxy, roomId: string, message: RecordProxy | null | undefined): void {
  const room = store.get(roomId);
  const history = room == null ? undefined : ConnectionHandler.getConnection(room, 'room_messages');
  if (history == null || message == null) return;
  const nodeOf = (edge: RecordProxy) => edge.getLinkedRecord('node');
  const seqOf = (edge: RecordProxy) => Number(nodeOf(edge)?.getValue('seq'));
  const edge = ConnectionHandler.createEdge(store, history, message, 'MessageEdge');
  edge.setValue(message.getValue('cursor'), 'cursor');
  const edges = history.getLinkedRecords('edges') ?? [];
  const others = edges.filter((other) => nodeOf(other)?.getDataID() !== message.getDataID());
  history.setLinkedRecords(
    [...others, edge].sort((a, b) => seqOf(a) - seqOf(b)),
    'edges',
  );
}
