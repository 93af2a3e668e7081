import { type Message, messageShape } from '../domain/message.js';
import { renderNotice, type StoredNotice } from '../domain/notice.js';
import { createRowCodec, type JsonOf, type RowCodec, type RowOf } from './row.js';

const storedRow = createRowCodec(messageShape, {
  known: ['roomId'],
  // Most messages are text: for them nothing is looked up.
  computed: {
    attachments: (m) =>
      `CASE WHEN ${m}.type IN ('IMAGE', 'FILE') AND ${m}.deleted_at IS NULL THEN chat_attachments_of(${m}.id) END`,
  },
});

/** Decodes a SYSTEM message with the sentence that is rendered from its notice. */
export const messageRow: RowCodec<typeof messageShape, 'roomId'> = {
  ...storedRow,
  decode: (row) => render(storedRow.decode(row)),
  decodeJson: (json, known) => render(storedRow.decodeJson(json, known)),
};

export type MessageRow = RowOf<typeof messageShape>;
/** A message as a JSON array, followed by the parts that are read with it. */
export type MessageJson<Rest extends readonly unknown[] = []> = JsonOf<typeof messageShape, Rest>;

function render(message: Message): Message {
  const notice = message.system as StoredNotice | null;
  if (notice === null) return message;
  const { code, userIds } = notice;
  return {
    ...message,
    content: message.content ?? renderContent(notice, message.senderName),
    system: { code, userIds },
  };
}

/** Only for notices without a stored sentence: sentences of an earlier release stay as they are. */
const renderContent = (notice: StoredNotice, actorName: string): string | null =>
  notice.code === 'ANNOUNCEMENT' ? null : renderNotice({ ...notice, actorName }, notice.language);
