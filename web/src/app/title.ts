import { useRooms } from '@fairway/client/react';
import { useEffect } from 'react';
import { useWords } from '../words/use-words.js';

/** Shows the number of unread messages in the title and on the icon of the tab. */
export function useTitle(): void {
  const { unreadCount } = useRooms();
  const words = useWords();
  useEffect(() => {
    document.title = unreadCount === 0 ? words.app : words.list.total(unreadCount);
    return () => {
      document.title = words.app;
    };
  }, [unreadCount, words]);
  const isUnread = unreadCount > 0;
  useEffect(() => {
    if (!isUnread) return;
    setIcon('./icon-unread.svg');
    return () => setIcon('./icon.svg');
  }, [isUnread]);
}

function setIcon(address: string): void {
  const icon = document.querySelector<HTMLLinkElement>('link[rel=icon]');
  if (icon !== null) icon.href = address;
}
