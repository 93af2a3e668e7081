import { useConnection, useViewer } from '@fairway/client/react';
import { useEffect, useState } from 'react';
import { forgetEdits } from '../composer/edits.js';
import { forgetChosen } from '../files/chosen.js';
import { isHosted, readDemoUser } from '../session/session.js';
import { SignIn } from '../session/sign-in.js';
import { Panes } from './panes.js';

/** The sign-in, or the chat. */
export function App() {
  const { status } = useConnection();
  const userKey = useUserKey();
  useEffect(keepPage, []);
  const isSignedOut = status === 'signedOut' || (!isHosted && readDemoUser() === undefined);
  return isSignedOut ? <SignIn /> : <Panes key={userKey} />;
}

/** Another one once another user is signed in: what the one before has written is not theirs. */
function useUserKey(): string {
  const viewer = useViewer();
  const [lastId, setLastId] = useState<string | null>(null);
  const [key, setKey] = useState('');
  if (viewer !== null && viewer.id !== lastId) {
    if (lastId !== null) {
      forgetEdits();
      forgetChosen();
      setKey(viewer.id);
    }
    setLastId(viewer.id);
  }
  return key;
}

/** A file that is dropped where none is expected would be opened in place of the app. */
function keepPage(): () => void {
  const refuse = (event: DragEvent) => {
    if (event.defaultPrevented || event.dataTransfer?.types.includes('Files') !== true) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'none';
  };
  window.addEventListener('dragover', refuse);
  window.addEventListener('drop', refuse);
  return () => {
    window.removeEventListener('dragover', refuse);
    window.removeEventListener('drop', refuse);
  };
}
