import { type PointerEvent, useRef } from 'react';

const largest = 6;
const doubled = 2.5;
/** A finger that has moved this far sideways leads on; as far down, it closes. */
const swipePx = 60;
const doubleTapMs = 300;

interface Point {
  readonly x: number;
  readonly y: number;
}

interface ZoomOptions {
  readonly onSwipe: (by: number) => void;
  readonly onClose: () => void;
}

/** Lets a picture be enlarged by two fingers, a double tap or the wheel, moved while it is, and swiped away while it is not. */
export function useZoom({ onSwipe, onClose }: ZoomOptions) {
  const stage = useRef<HTMLDivElement>(null);
  const state = useRef({ scale: 1, x: 0, y: 0 });
  const pointers = useRef(new Map<number, Point>());
  const start = useRef<Point>({ x: 0, y: 0 });
  const lastTap = useRef({ at: 0, x: 0, y: 0 });
  /** A finger of a pinch that stays behind neither taps nor swipes. */
  const wasPinched = useRef(false);

  const draw = () => {
    const { scale, x, y } = state.current;
    stage.current?.style.setProperty('--zoom', `translate(${x}px, ${y}px) scale(${scale})`);
    stage.current?.toggleAttribute('data-zoomed', scale > 1);
  };
  const set = (scale: number, x: number, y: number) => {
    const bounded = Math.min(Math.max(scale, 1), largest);
    const { clientWidth = 0, clientHeight = 0 } = stage.current ?? {};
    const reach = (px: number, size: number) =>
      Math.min(Math.max(px, -(size * (bounded - 1)) / 2), (size * (bounded - 1)) / 2);
    state.current = { scale: bounded, x: reach(x, clientWidth), y: reach(y, clientHeight) };
    draw();
  };
  /** Enlarges, and leaves what is at this point where it is. */
  const zoomAt = ({ x, y }: Point, factor: number) => {
    const box = stage.current?.getBoundingClientRect() ?? new DOMRect();
    const { scale, x: left, y: top } = state.current;
    const next = Math.min(Math.max(scale * factor, 1), largest);
    const [fromX, fromY] = [x - box.left - box.width / 2, y - box.top - box.height / 2];
    set(next, fromX - ((fromX - left) * next) / scale, fromY - ((fromY - top) * next) / scale);
  };
  const toggle = (point: Point) => (state.current.scale > 1 ? set(1, 0, 0) : zoomAt(point, doubled));

  return {
    stage,
    handlers: {
      onPointerDown: (event: PointerEvent) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        pointers.current.set(event.pointerId, { x: event.clientX, y: event.clientY });
        wasPinched.current = pointers.current.size > 1;
        if (!wasPinched.current) start.current = { x: event.clientX, y: event.clientY };
      },
      onPointerMove: (event: PointerEvent) => {
        const before = pointers.current.get(event.pointerId);
        if (before === undefined) return;
        const now = { x: event.clientX, y: event.clientY };
        const other = [...pointers.current].find(([id]) => id !== event.pointerId)?.[1];
        pointers.current.set(event.pointerId, now);
        if (other !== undefined) {
          const distance = (point: Point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
          zoomAt({ x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 }, distance(now) / distance(before));
        } else if (state.current.scale > 1) {
          const { scale, x, y } = state.current;
          set(scale, x + now.x - before.x, y + now.y - before.y);
        }
      },
      onPointerUp: (event: PointerEvent) => {
        const wasAlone = pointers.current.size === 1;
        if (!pointers.current.delete(event.pointerId) || !wasAlone || wasPinched.current) return;
        const [right, down] = [event.clientX - start.current.x, event.clientY - start.current.y];
        if (Math.hypot(right, down) < 10) {
          const { at, x, y } = lastTap.current;
          const isDouble = event.timeStamp - at < doubleTapMs && Math.hypot(event.clientX - x, event.clientY - y) < 30;
          lastTap.current = { at: isDouble ? 0 : event.timeStamp, x: event.clientX, y: event.clientY };
          if (isDouble) toggle({ x: event.clientX, y: event.clientY });
        } else if (state.current.scale === 1) {
          if (Math.abs(right) > swipePx && Math.abs(right) > Math.abs(down)) onSwipe(right > 0 ? -1 : 1);
          else if (down > swipePx * 1.5) onClose();
        }
      },
      onPointerCancel: (event: PointerEvent) => void pointers.current.delete(event.pointerId),
      onWheel: (event: { clientX: number; clientY: number; deltaY: number }) =>
        zoomAt({ x: event.clientX, y: event.clientY }, Math.exp(-event.deltaY / 300)),
    },
  };
}
