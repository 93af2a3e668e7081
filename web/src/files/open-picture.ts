import { createContext } from 'react';

/** Opens the viewer at a picture. */
export const OpenPicture = createContext<(attachmentId: string) => void>(() => undefined);
