import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react';
import { en } from './en.js';
import { ko } from './ko.js';
import type { Words } from './words.js';

export const languages = { ko, en } as const;
export type Language = keyof typeof languages;

const storedKey = 'fairway.language';

const Language = createContext<{ readonly words: Words; readonly choose: (language: Language) => void }>({
  words: ko,
  choose: () => undefined,
});

/** The language that was chosen here, or else the browser's: Korean, or English for all others. */
function preferred(): Language {
  const stored = readStored();
  if (stored === 'ko' || stored === 'en') return stored;
  return navigator.language.toLowerCase().startsWith('ko') ? 'ko' : 'en';
}

/** Gives what is below it the words of one language. */
export function WordsProvider({ language, children }: { readonly language?: Language; readonly children: ReactNode }) {
  const [chosen, setChosen] = useState<Language>(() => language ?? preferred());
  useEffect(() => {
    document.documentElement.lang = chosen;
  }, [chosen]);
  const value = useMemo(() => {
    const choose = (next: Language) => {
      setChosen(next);
      try {
        localStorage.setItem(storedKey, next);
      } catch {
        // Not kept where there is no storage.
      }
    };
    return { words: languages[chosen], choose };
  }, [chosen]);
  return <Language.Provider value={value}>{children}</Language.Provider>;
}

/** Everything that the app says, in the reader's language. */
export const useWords = (): Words => useContext(Language).words;

export const useLanguage = () => useContext(Language);

function readStored(): string | null {
  try {
    return localStorage.getItem(storedKey);
  } catch {
    return null;
  }
}
