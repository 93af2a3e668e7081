import { useConnection, useViewer } from '@fairway/client/react';
import { useState } from 'react';
import { forgetEdits } from '../composer/edits.js';
import { forgetChosen } from '../files/chosen.js';
import { isHosted, readDemoUser } from '../session/session.js';
import { SignIn } from '../session/sign-in.js';
import { Panes } from './panes.js';

/** The sign-in, or the chat. */
export function App() {
  const { status } = useConnection();
  const userKey = useUserKey();
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
