import { FairwayError } from '@fairway/client';
import { useFairway } from '@fairway/client/react';
import { useState } from 'react';
import { openRoute } from '../app/route.js';
import { Button } from '../parts/button.js';
import { Dialog } from '../parts/dialog.js';
import { Field } from '../parts/field.js';
import { useWords } from '../words/use-words.js';
import { PeoplePicker, type Person } from './people-picker.js';

/** Begins a chat: with one person a DIRECT room, with more of them a GROUP. */
export function NewRoom({ onClose }: { readonly onClose: () => void }) {
  const words = useWords();
  const fairway = useFairway();
  const [chosen, setChosen] = useState<readonly Person[]>([]);
  const [name, setName] = useState('');
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const isGroup = chosen.length > 1;
  const create = async () => {
    setBusy(true);
    setProblem('');
    try {
      const participantIds = chosen.map(({ id }) => id);
      const input = isGroup
        ? { type: 'GROUP' as const, participantIds, name: name.trim() === '' ? null : name.trim() }
        : { type: 'DIRECT' as const, participantIds };
      const { id } = await fairway.createRoom(input);
      onClose();
      openRoute(id);
    } catch (error) {
      if (!(error instanceof FairwayError)) throw error;
      setProblem(error.code === 'OFFLINE' || error.code === 'NO_ANSWER' ? words.people.offline : words.people.refused);
      setBusy(false);
    }
  };
  return (
    <Dialog title={words.people.newTitle} onClose={onClose}>
      <PeoplePicker chosen={chosen} onChange={setChosen} />
      {isGroup && <Field label={words.people.groupName} value={name} maxLength={100} onChange={setName} />}
      {problem !== '' && <p role="alert">{problem}</p>}
      <Button disabled={chosen.length === 0 || isBusy} onClick={() => void create()}>
        {isGroup ? words.people.createGroup : words.people.talk}
      </Button>
    </Dialog>
  );
}
