import type { TimelineMessage } from '@fairway/client';
import { useEffect, useMemo, useState } from 'react';
import { sortAttachments } from './layout.js';
import type { ViewedPicture } from './viewer.js';

interface LazyViewerProps {
  readonly messages: readonly TimelineMessage[];
  readonly attachmentId: string;
  readonly onClose: () => void;
}

/** All pictures of these messages, beginning with one. The viewer is loaded when it is opened for the first time. */
export function LazyViewer({ messages, attachmentId, onClose }: LazyViewerProps) {
  const [viewer, setViewer] = useState<typeof import('./viewer.js') | null>(null);
  useEffect(() => {
    // Offline, or a newer build has other files.
    import('./viewer.js').then(setViewer, onClose);
  }, [onClose]);
  const pictures = useMemo(() => messages.flatMap(picturesOf), [messages]);
  return viewer === null ? null : <viewer.Viewer pictures={pictures} firstId={attachmentId} onClose={onClose} />;
}

const picturesOf = (message: TimelineMessage): ViewedPicture[] =>
  message.seq === null
    ? []
    : sortAttachments(message)
        .pictures.filter(({ url }) => url !== null)
        .map((attachment) => ({ attachment, senderName: message.senderName, createdAt: message.createdAt }));
