import type { Room, RoomSnapshot, Store } from '@fairway/client';
import { useFairway } from '@fairway/client/react';
import { useMemo, useSyncExternalStore } from 'react';

/** In a flood of messages, a room is drawn this often: nobody reads faster. */
const pauseMs = 100;
const maxPauseMs = 1_000;
/** On a slow device, the pauses are so many times as long as the drawing, and the page stays free for what its user does. */
const restRatio = 3;

interface LiveRoom {
  readonly snapshot: RoomSnapshot;
  readonly room: Room;
  /** Shows the room as it is now, without waiting for the end of a pause. */
  readonly drawNow: () => void;
}

/** A room, live while the component is mounted. What happens after a pause is drawn at once. A hidden page draws nothing. */
export function useLiveRoom(id: string): LiveRoom {
  const room = useFairway().room(id);
  const paced = useMemo(() => paceStore(room), [room]);
  const snapshot = useSyncExternalStore(paced.subscribe, paced.getSnapshot, paced.getSnapshot);
  return { snapshot, room, drawNow: paced.drawNow };
}

/** For one subscriber: the store as it was when it was last drawn. */
function paceStore<Value>(store: Store<Value>): Store<Value> & { drawNow(): void } {
  let shown: { readonly value: Value } | undefined;
  let draw = () => {};
  return {
    getSnapshot: () => (shown === undefined ? store.getSnapshot() : shown.value),
    drawNow: () => draw(),
    subscribe: (listener) => {
      let frame: number | undefined;
      let timer: ReturnType<typeof setTimeout> | undefined;
      let isChanged = false;
      /** Between two drawings: a pause, and then a frame if there is something to draw. */
      const rest = (ms: number) => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          timer = undefined;
          if (isChanged) frame ??= requestAnimationFrame(draw);
        }, ms);
      };
      draw = () => {
        if (frame !== undefined) cancelAnimationFrame(frame);
        frame = undefined;
        isChanged = false;
        shown = { value: store.getSnapshot() };
        const start = performance.now();
        listener();
        // The browser has laid out and painted what was drawn before it calls this.
        clearTimeout(timer);
        timer = setTimeout(() => {
          rest(Math.min(Math.max(pauseMs, restRatio * (performance.now() - start)), maxPauseMs));
        });
      };
      const stop = store.subscribe(() => {
        isChanged = true;
        if (timer === undefined) frame ??= requestAnimationFrame(draw);
      });
      shown = { value: store.getSnapshot() };
      return () => {
        stop();
        shown = undefined;
        draw = () => {};
        clearTimeout(timer);
        if (frame !== undefined) cancelAnimationFrame(frame);
      };
    },
  };
}
