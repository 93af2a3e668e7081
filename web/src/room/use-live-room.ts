import type { Room, RoomSnapshot } from '@fairway/client';
import { useFairway } from '@fairway/client/react';
import { useCallback, useSyncExternalStore } from 'react';

/**
 * A room, live while the component is mounted, drawn once a frame at most: a hundred messages a second need not be drawn a
 * hundred times. A hidden page draws nothing.
 */
export function useLiveRoom(id: string): { readonly snapshot: RoomSnapshot; readonly room: Room } {
  const room = useFairway().room(id);
  const subscribe = useCallback(
    (listener: () => void) => {
      let frame: number | undefined;
      const stop = room.subscribe(() => {
        frame ??= requestAnimationFrame(() => {
          frame = undefined;
          listener();
        });
      });
      return () => {
        stop();
        if (frame !== undefined) cancelAnimationFrame(frame);
      };
    },
    [room],
  );
  return { snapshot: useSyncExternalStore(subscribe, room.getSnapshot, room.getSnapshot), room };
}
