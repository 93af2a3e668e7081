import { FairwayError, type Member, type Room, type RoomSnapshot } from '@fairway/client';
import { useFairway } from '@fairway/client/react';
import { useState } from 'react';
import { leaveRoute } from '../app/route.js';
import {
  InviteMembersDocument,
  RemoveMemberDocument,
  RenameRoomDocument,
  SetAdminDocument,
} from '../operations/generated/documents.js';
import { Button } from '../parts/button.js';
import { Confirm } from '../parts/confirm.js';
import { Dialog } from '../parts/dialog.js';
import { Field } from '../parts/field.js';
import { PeoplePicker, type Person } from '../people/people-picker.js';
import { useWords } from '../words/use-words.js';
import styles from './details.module.css';
import { MemberList } from './member-list.js';

interface DetailsProps {
  readonly snapshot: RoomSnapshot;
  readonly room: Room;
  readonly viewerId: string | undefined;
  readonly onClose: () => void;
}

type Opened =
  | { readonly what: 'all' | 'invite' | 'rename' | 'leave' | 'files' }
  | { readonly what: 'remove'; readonly member: Member };

/** The members of a room, and what the viewer may change: offered is only what the server allows. */
export function Details({ snapshot, room, viewerId, onClose }: DetailsProps) {
  const words = useWords();
  const fairway = useFairway();
  const [opened, setOpened] = useState<Opened>({ what: 'all' });
  const [problem, setProblem] = useState('');
  const [roomFiles, setRoomFiles] = useState<typeof import('../files/room-files.js') | null>(null);
  const { room: about, members, hasMoreMembers, id: roomId } = snapshot;
  if (about === null) return null;
  const isGroup = about.type === 'GROUP';
  const isAdmin = isGroup && about.viewerMember.isAdmin;
  const titles: Readonly<Record<string, string>> = {
    ...{ all: words.details.title, rename: words.details.title },
    ...{ invite: words.details.inviteTitle, files: words.files.title },
  };
  const toAll = () => setOpened({ what: 'all' });
  /** Resolves with whether it was done. What was opened meanwhile stays open. */
  const run = async (change: () => Promise<unknown>): Promise<boolean> => {
    setProblem('');
    try {
      await change();
      setOpened((now) => (now === opened ? { what: 'all' } : now));
      return true;
    } catch (error) {
      if (!(error instanceof FairwayError)) throw error;
      setProblem(error.code === 'OFFLINE' || error.code === 'NO_ANSWER' ? words.people.offline : words.people.refused);
      return false;
    }
  };
  const openFiles = async () => {
    setProblem('');
    try {
      setRoomFiles(await import('../files/room-files.js'));
      setOpened({ what: 'files' });
    } catch {
      // Offline, or a newer build has other files.
      setProblem(words.people.offline);
    }
  };
  if (opened.what === 'leave') {
    const leave = async () => {
      if (await run(() => room.leave())) leaveRoute(roomId);
    };
    return (
      <Confirm
        title={words.details.leave}
        text={words.details.leaveText}
        action={words.details.leave}
        onConfirm={() => void leave()}
        onClose={toAll}
      />
    );
  }
  if (opened.what === 'remove') {
    const { user } = opened.member;
    return (
      <Confirm
        title={words.details.remove}
        text={words.details.removeText(user.name)}
        action={words.details.remove}
        onConfirm={() => void run(() => fairway.request(RemoveMemberDocument, { input: { roomId, userId: user.id } }))}
        onClose={toAll}
      />
    );
  }
  return (
    <Dialog key={opened.what} title={titles[opened.what] ?? ''} onClose={onClose}>
      {problem !== '' && (
        <p className={styles.problem} role="alert">
          {problem}
        </p>
      )}
      {opened.what === 'invite' && (
        <Invite
          without={members.map(({ user }) => user.id)}
          onInvite={(userIds) =>
            run(() => fairway.request(InviteMembersDocument, { input: { roomId, userIds: [...userIds] } }))
          }
        />
      )}
      {opened.what === 'files' && roomFiles !== null && <roomFiles.RoomFiles roomId={roomId} />}
      {opened.what === 'rename' && (
        <Rename
          name={about.name ?? ''}
          onRename={(name) => run(() => fairway.request(RenameRoomDocument, { input: { roomId, name } }))}
        />
      )}
      {opened.what === 'all' && (
        <>
          <p className={styles.title} dir="auto">
            {about.title}
          </p>
          <div className={styles.actions}>
            <Button kind="plain" onClick={() => void openFiles()}>
              {words.files.title}
            </Button>
            {isGroup && (
              <Button kind="plain" onClick={() => setOpened({ what: 'invite' })}>
                {words.details.invite}
              </Button>
            )}
            {isAdmin && (
              <Button kind="plain" onClick={() => setOpened({ what: 'rename' })}>
                {words.details.rename}
              </Button>
            )}
            {about.type !== 'DIRECT' && (
              <Button kind="danger" onClick={() => setOpened({ what: 'leave' })}>
                {words.details.leave}
              </Button>
            )}
          </div>
          <MemberList
            members={members}
            count={about.memberCount}
            viewerId={viewerId}
            canChange={isAdmin}
            hasMore={hasMoreMembers}
            onMore={() => void room.loadMoreMembers()}
            onAppoint={(member) =>
              void run(() =>
                fairway.request(SetAdminDocument, {
                  input: { roomId, userId: member.user.id, isAdmin: !member.isAdmin },
                }),
              )
            }
            onRemove={(member) => setOpened({ what: 'remove', member })}
          />
        </>
      )}
    </Dialog>
  );
}

function Invite({
  without,
  onInvite,
}: {
  readonly without: readonly string[];
  readonly onInvite: (userIds: readonly string[]) => Promise<boolean>;
}) {
  const words = useWords();
  const [chosen, setChosen] = useState<readonly Person[]>([]);
  return (
    <>
      <PeoplePicker chosen={chosen} onChange={setChosen} without={without} />
      <Button disabled={chosen.length === 0} onClick={() => void onInvite(chosen.map(({ id }) => id))}>
        {words.details.invite}
      </Button>
    </>
  );
}

function Rename({
  name: before,
  onRename,
}: {
  readonly name: string;
  readonly onRename: (name: string) => Promise<boolean>;
}) {
  const words = useWords();
  const [name, setName] = useState(before);
  const isSame = name.trim() === '' || name.trim() === before;
  return (
    <form
      className={styles.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (!isSame) void onRename(name.trim());
      }}
    >
      <Field label={words.details.name} value={name} maxLength={100} onChange={setName} />
      <Button type="submit" disabled={isSame}>
        {words.save}
      </Button>
    </form>
  );
}
