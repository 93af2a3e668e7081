import { useConnection } from '@fairway/client/react';
import { isHosted, readDemoUser } from '../session/session.js';
import { SignIn } from '../session/sign-in.js';
import { Panes } from './panes.js';

/** The sign-in, or the chat. */
export function App() {
  const { status } = useConnection();
  const isSignedOut = status === 'signedOut' || (!isHosted && readDemoUser() === undefined);
  return isSignedOut ? <SignIn /> : <Panes />;
}
