/** A file with the fields that the operations select. */
export interface Attachment {
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

/** As a store keeps them; not every library leaves the name of the type in its answers. */
export const entitiesOf = (attachments: readonly Attachment[]) =>
  attachments.map((attachment) => ({ ...attachment, __typename: 'Attachment' as const }));

/** What to send of a text, or of files with a caption that may be empty. */
export const partsOf = (content: string, attachments: readonly Sent[]) =>
  attachments.length === 0
    ? { content }
    : { ...(content === '' ? {} : { content }), attachmentIds: attachments.map(({ id }) => id) };
