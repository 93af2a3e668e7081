import type { TimelineAttachment, TimelineMessage } from '@fairway/client';

export interface Box {
  readonly width: number;
  readonly height: number;
}

/** A picture alone is no larger than this, and no smaller than a finger. */
const largest: Box = { width: 320, height: 360 };
const smallest = 96;
/** For a picture whose size nobody has said yet. */
const unknown: Box = { width: 240, height: 180 };
export const filmBox: Box = { width: 320, height: 180 };
/** What was drawn once keeps its place: its real size may become known a moment later. */
const drawn = new Map<string, Box>();
const maxDrawn = 500;

/** The space of a picture, from before it has come until it goes. */
export function boxOf({ id, width, height }: Pick<TimelineAttachment, 'id' | 'width' | 'height'>): Box {
  const before = drawn.get(id);
  if (before !== undefined) return before;
  const box = width === null || height === null ? unknown : fit(width, height);
  drawn.set(id, box);
  const [oldest] = drawn.keys();
  if (drawn.size > maxDrawn && oldest !== undefined) drawn.delete(oldest);
  return box;
}

/** Whether a picture has a place already. */
export const wasDrawn = (id: string): boolean => drawn.has(id);

/** Whether there is nothing to show of it any more. */
export const isGone = ({ status }: Pick<TimelineAttachment, 'status'>): boolean =>
  status === 'FAILED' || status === 'EXPIRED';

function fit(width: number, height: number): Box {
  const scale = Math.min(largest.width / width, largest.height / height, 1);
  return {
    width: Math.round(Math.max(width * scale, smallest)),
    height: Math.round(Math.max(height * scale, smallest)),
  };
}

/** How many pictures of an album stand in each of its rows: threes and twos, the threes first. */
export function rowsOfAlbum(count: number): readonly number[] {
  if (count < 4) return [count];
  const twos = [0, 2, 1][count % 3] ?? 0;
  return [...Array<number>((count - twos * 2) / 3).fill(3), ...Array<number>(twos).fill(2)];
}

export const albumWidth = 320;
export const gap = 2;
const heightOfRow = (count: number): number => (count === 3 ? albumWidth / 3 : count === 2 ? albumWidth / 2 : 0);

/** What of a message is drawn as pictures, films, and rows. */
export function sortAttachments({ attachments }: Pick<TimelineMessage, 'attachments'>) {
  const of = (kind: TimelineAttachment['kind']) => attachments.filter((one) => one.kind === kind);
  return { pictures: of('IMAGE'), films: of('VIDEO'), sounds: of('AUDIO'), files: of('FILE') };
}

/** The height of the files of a message before they were drawn. */
export function estimateFiles(message: Pick<TimelineMessage, 'attachments'>, width: number): number {
  const { pictures, films, sounds, files } = sortAttachments(message);
  const scale = Math.min((width * 0.7) / largest.width, 1);
  const [first] = pictures;
  const ofPictures =
    pictures.length > 1
      ? rowsOfAlbum(pictures.length).reduce((sum, count) => sum + heightOfRow(count) + gap, 0)
      : first === undefined
        ? 0
        : isGone(first) && !wasDrawn(first.id)
          ? 60
          : boxOf(first).height;
  return (ofPictures + films.length * filmBox.height) * scale + sounds.length * 100 + files.length * 60;
}
