import { FairwayError, type User } from '@fairway/client';
import { useFairway, useViewer } from '@fairway/client/react';
import { useEffect, useState } from 'react';
import { SearchUsersDocument } from '../operations/generated/documents.js';
import { Avatar } from '../parts/avatar.js';
import { IconButton } from '../parts/button.js';
import { Icon } from '../parts/icon.js';
import { useWords } from '../words/use-words.js';
import styles from './people-picker.module.css';

export type Person = Pick<User, 'id' | 'name' | 'avatarUrl'>;

interface PeoplePickerProps {
  readonly chosen: readonly Person[];
  readonly onChange: (chosen: readonly Person[]) => void;
  /** People who cannot be chosen. */
  readonly without?: readonly string[];
}

const pauseMs = 200;
const found = 20;

/** Finds people by name and chooses some of them; by their number where the server has no directory. */
export function PeoplePicker({ chosen, onChange, without = [] }: PeoplePickerProps) {
  const words = useWords();
  const fairway = useFairway();
  const viewer = useViewer();
  const [text, setText] = useState('');
  /** What was found, and by which text. */
  const [result, setResult] = useState<{ readonly text: string; readonly people: readonly Person[] } | null>(null);
  const [hasDirectory, setDirectory] = useState(true);
  const [problem, setProblem] = useState('');
  const wanted = text.trim();
  useEffect(() => {
    setProblem('');
    if (wanted === '' || !hasDirectory) {
      setResult(null);
      return;
    }
    let isCurrent = true;
    const timer = setTimeout(async () => {
      try {
        const { searchUsers } = await fairway.request(SearchUsersDocument, { text: wanted, first: found });
        if (isCurrent) setResult({ text: wanted, people: searchUsers });
      } catch (error) {
        if (!isCurrent) return;
        const code = error instanceof FairwayError ? error.code : 'INTERNAL';
        setResult(null);
        if (code === 'FORBIDDEN') setDirectory(false);
        else setProblem(code === 'OFFLINE' ? words.people.offline : words.people.refused);
      }
    }, pauseMs);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [wanted, hasDirectory, fairway, words]);

  // What an earlier text has found is not offered: an Enter would choose somebody else.
  const people = result?.text === wanted ? result.people : null;
  const excluded = new Set([...without, viewer?.id, ...chosen.map(({ id }) => id)]);
  const numbered =
    !hasDirectory && /^[1-9]\d{0,9}$/.test(wanted) ? [{ id: wanted, name: `#${wanted}`, avatarUrl: null }] : null;
  const offered = (numbered ?? people)?.filter(({ id }) => !excluded.has(id)) ?? null;
  const add = (person: Person) => {
    onChange([...chosen, person]);
    setText('');
  };
  return (
    <div className={styles.picker}>
      {chosen.length > 0 && (
        <ul className={styles.chosen} aria-label={words.people.chosen}>
          {chosen.map((person) => (
            <li key={person.id} className={styles.chip}>
              <span className={styles.name} dir="auto">
                {person.name}
              </span>
              <IconButton
                label={words.people.remove(person.name)}
                onClick={() => onChange(chosen.filter(({ id }) => id !== person.id))}
              >
                <Icon name="close" size={16} />
              </IconButton>
            </li>
          ))}
        </ul>
      )}
      <input
        className={styles.field}
        value={text}
        inputMode={hasDirectory ? 'text' : 'numeric'}
        placeholder={hasDirectory ? words.people.find : words.people.byNumber}
        aria-label={hasDirectory ? words.people.find : words.people.byNumber}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          const [first] = offered ?? [];
          if (event.key !== 'Enter' || event.nativeEvent.isComposing || first === undefined) return;
          event.preventDefault();
          add(first);
        }}
      />
      <ul className={styles.found} aria-live="polite">
        {offered?.map((person) => (
          <li key={person.id}>
            <button type="button" className={styles.person} onClick={() => add(person)}>
              <Avatar id={person.id} name={person.name} url={person.avatarUrl} size="small" />
              <span className={styles.name} dir="auto">
                {person.name}
              </span>
            </button>
          </li>
        ))}
        {offered === null && (
          <li className={styles.hint}>{problem || (hasDirectory ? words.people.hint : words.people.noDirectory)}</li>
        )}
        {offered?.length === 0 && <li className={styles.hint}>{words.people.noMatch(wanted)}</li>}
      </ul>
    </div>
  );
}
