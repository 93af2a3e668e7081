import { FairwayProvider } from '@fairway/client/react';
import { createRoot } from 'react-dom/client';
import '../styles/base.css';
import { type Language, languages, WordsProvider } from '../words/use-words.js';
import styles from './main.module.css';
import { details } from './samples.js';
import { clientOf, stories } from './stories.js';

/** All stories side by side, each in a page of its own; `?story=room&language=en` is one of them. */
const { searchParams } = new URL(location.href);
const story = stories.find(({ name }) => name === searchParams.get('story'));
const given = searchParams.get('language') ?? 'ko';
const language: Language = given in languages ? (given as Language) : 'ko';
const root = createRoot(document.getElementById('root') as HTMLElement);

if (story === undefined) {
  root.render(
    <main className={styles.gallery}>
      {stories.map(({ name, width = 390 }) => (
        <figure key={name} className={styles.story}>
          <figcaption>{name}</figcaption>
          <iframe title={name} src={`?story=${name}&language=${language}`} width={width} height={760} />
        </figure>
      ))}
    </main>,
  );
} else if (story.isInRoom === true && !searchParams.has('room')) {
  location.search += `&room=${details.id}`;
} else {
  sessionStorage.setItem('fairway.demoUser', '4');
  root.render(
    <FairwayProvider fairway={clientOf(story)}>
      <WordsProvider language={language}>
        <div className={styles.page}>{story.show()}</div>
      </WordsProvider>
    </FairwayProvider>,
  );
}
