import { type ReactNode, useEffect, useLayoutEffect, useRef } from 'react';
import styles from './menu.module.css';

export interface MenuItem {
  readonly label: string;
  readonly isDangerous?: boolean;
  readonly onSelect: () => void;
}

interface MenuProps {
  readonly label: string;
  /** The button that has opened it. */
  readonly anchor: HTMLElement;
  readonly items: readonly MenuItem[];
  /** Told whether an item was selected. */
  readonly onClose: (isSelected: boolean) => void;
}

const gap = 4;

/** A menu at a button, open while it is mounted. Arrows move, Escape and a click beside it close it. */
export function Menu({ label, anchor, items, onClose }: MenuProps): ReactNode {
  const ref = useRef<HTMLDivElement>(null);
  const isSelected = useRef(false);
  useLayoutEffect(() => {
    const menu = ref.current;
    if (menu === null) return;
    menu.showPopover();
    place(menu, anchor);
    menu.querySelector('button')?.focus();
  }, [anchor]);
  useEffect(() => {
    const menu = ref.current;
    const toggled = (event: Event) => {
      if ((event as ToggleEvent).newState === 'closed') onClose(isSelected.current);
    };
    menu?.addEventListener('toggle', toggled);
    return () => menu?.removeEventListener('toggle', toggled);
  }, [onClose]);
  const move = (step: number) => {
    const buttons = [...(ref.current?.querySelectorAll('button') ?? [])];
    const index = buttons.indexOf(document.activeElement as HTMLButtonElement);
    buttons[(index + step + buttons.length) % buttons.length]?.focus();
  };
  return (
    <div
      ref={ref}
      popover="auto"
      role="menu"
      aria-label={label}
      className={styles.menu}
      onKeyDown={(event) => {
        if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
        event.preventDefault();
        move(event.key === 'ArrowDown' ? 1 : -1);
      }}
    >
      {items.map(({ label: text, isDangerous, onSelect }) => (
        <button
          key={text}
          type="button"
          role="menuitem"
          className={`${styles.item} ${isDangerous === true ? styles.danger : ''}`}
          onClick={() => {
            isSelected.current = true;
            ref.current?.hidePopover();
            anchor.focus();
            onSelect();
          }}
        >
          {text}
        </button>
      ))}
    </div>
  );
}

/** Below the button, or above it where there is no room, and never beyond the edge of the page. */
function place(menu: HTMLElement, anchor: HTMLElement): void {
  const at = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const isBelow = at.bottom + gap + height <= innerHeight;
  const top = isBelow ? at.bottom + gap : Math.max(gap, at.top - gap - height);
  const left = Math.min(Math.max(gap, at.right - width), innerWidth - width - gap);
  menu.style.top = `${top}px`;
  menu.style.left = `${left}px`;
}
