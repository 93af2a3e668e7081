import type { Room, RoomSnapshot, Store } from '@fairway/client';
import { useFairway } from '@fairway/client/react';
import { useMemo, useSyncExternalStore } from 'react';

/** In a flood of messages, a room is drawn this often: nobody reads faster. */
const pauseMs = 100;
const maxPauseMs = 1_000;
/** On a slow device, the pauses are so many times as long as the drawing, and the page stays free for what its user does. */
const restRatio = 3;
/** So many drawings without a rest between them are a flood: what scrolls by is not read. */
const floodDrawings = 3;

interface LiveRoom {
  readonly snapshot: RoomSnapshot;
  readonly room: Room;
  /** Whether more comes than is drawn. What is out of view may wait until it is over. */
  readonly isFlooded: boolean;
  /** Shows the room as it is now, without waiting for the end of a pause. */
  readonly drawNow: () => void;
}

/** A room, live while the component is mounted. What happens after a pause is drawn at once. A hidden page draws nothing. */
export function useLiveRoom(id: string): LiveRoom {
  const room = useFairway().room(id);
  const paced = useMemo(() => paceStore(room), [room]);
  const { value: snapshot, isFlooded } = useSyncExternalStore(paced.subscribe, paced.getSnapshot, paced.getSnapshot);
  return { snapshot, room, isFlooded, drawNow: paced.drawNow };
}

interface Drawn<Value> {
  readonly value: Value;
  readonly isFlooded: boolean;
}

/** For one subscriber: the store as it was when it was last drawn. */
function paceStore<Value>(store: Store<Value>): Store<Drawn<Value>> & { drawNow(): void } {
  let shown: Drawn<Value> = { value: store.getSnapshot(), isFlooded: false };
  let isShowing = false;
  let draw = () => {};
  return {
    getSnapshot: () => {
      if (!isShowing && shown.value !== store.getSnapshot()) shown = { value: store.getSnapshot(), isFlooded: false };
      return shown;
    },
    drawNow: () => draw(),
    subscribe: (listener) => {
      let frame: number | undefined;
      let timer: ReturnType<typeof setTimeout> | undefined;
      let isChanged = false;
      /** Drawings since the last pause in which nothing came. */
      let drawings = 0;
      /** Between two drawings: a pause, and then a frame if there is something to draw. */
      const rest = (ms: number) => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          timer = undefined;
          if (!isChanged) drawings = 0;
          if (isChanged || shown.isFlooded) frame ??= requestAnimationFrame(draw);
        }, ms);
      };
      draw = () => {
        if (frame !== undefined) cancelAnimationFrame(frame);
        frame = undefined;
        isChanged = false;
        drawings += 1;
        shown = { value: store.getSnapshot(), isFlooded: drawings >= floodDrawings };
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
      isShowing = true;
      shown = { value: store.getSnapshot(), isFlooded: false };
      return () => {
        stop();
        isShowing = false;
        draw = () => {};
        clearTimeout(timer);
        if (frame !== undefined) cancelAnimationFrame(frame);
      };
    },
  };
}
