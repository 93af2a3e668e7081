import { useFairway } from '@fairway/client/react';
import { settings } from '../app/settings.js';
import { Avatar } from '../parts/avatar.js';
import { Button } from '../parts/button.js';
import { languages, useLanguage } from '../words/use-words.js';
import { chooseDemoUser, isHosted } from './session.js';
import styles from './sign-in.module.css';

/** Shown while there is no token: the people of the demo, or that the page around the app has to sign in. */
export function SignIn() {
  const fairway = useFairway();
  const { words, choose } = useLanguage();
  const people = isHosted ? [] : (settings.demoUsers ?? []);
  const enter = (userId: number) => {
    chooseDemoUser(userId);
    fairway.reconnectNow();
  };
  return (
    <main className={styles.page}>
      <div className={styles.card}>
        <h1 className={styles.title}>{people.length > 0 ? words.signIn.title : words.signIn.waiting}</h1>
        {people.length > 0 ? (
          <>
            <p className={styles.lead}>{words.signIn.lead}</p>
            <ul className={styles.people}>
              {people.map(({ id, name }) => (
                <li key={id}>
                  <button type="button" className={styles.person} onClick={() => enter(id)}>
                    <Avatar id={String(id)} name={name} url={null} />
                    {name}
                  </button>
                </li>
              ))}
            </ul>
          </>
        ) : (
          <Button onClick={() => fairway.reconnectNow()}>{words.signIn.again}</Button>
        )}
        <div className={styles.languages}>
          {Object.values(languages).map(({ language, languageName }) => (
            <button
              key={language}
              type="button"
              lang={language}
              className={styles.language}
              aria-pressed={language === words.language}
              onClick={() => choose(language)}
            >
              {languageName}
            </button>
          ))}
        </div>
      </div>
    </main>
  );
}
