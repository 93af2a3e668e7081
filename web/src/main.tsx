import { FairwayProvider } from '@fairway/client/react';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app/app.js';
import { createPageClient } from './session/session.js';
import './styles/base.css';
import { WordsProvider } from './words/use-words.js';

const fairway = createPageClient();

createRoot(document.getElementById('root') as HTMLElement).render(
  <StrictMode>
    <FairwayProvider fairway={fairway}>
      <WordsProvider>
        <App />
      </WordsProvider>
    </FairwayProvider>
  </StrictMode>,
);

// In development every file comes fresh from Vite.
if (import.meta.env.PROD && 'serviceWorker' in navigator) {
  navigator.serviceWorker.register(new URL('service-worker.js', document.baseURI)).catch(() => undefined);
}
