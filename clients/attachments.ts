/** A file with the fields that the operations select. */
export interface Attachment {
  readonly __typename?: 'Attachment';
  readonly id: string;
  readonly status: string;
  readonly kind: string;
  readonly name: string;
  readonly byteSize: number;
  readonly url?: string | null;
  readonly thumbnailUrl?: string | null;
  readonly width?: number | null;
  readonly height?: number | null;
  readonly thumbHash?: string | null;
}

type Sent = Pick<Attachment, 'id' | 'kind'>;

/** What a message with these files is, as the server decides it. */
export const typeOf = (attachments: readonly Sent[]): 'TEXT' | 'IMAGE' | 'FILE' => {
  if (attachments.length === 0) return 'TEXT';
  return attachments.every(({ kind }) => kind === 'IMAGE') ? 'IMAGE' : 'FILE';
};

/** What to send of a text, or of files with a caption that may be empty. */
export const partsOf = (content: string, attachments: readonly Sent[]) =>
  attachments.length === 0
    ? { content }
    : { ...(content === '' ? {} : { content }), attachmentIds: attachments.map(({ id }) => id) };
