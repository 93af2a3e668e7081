import type { ButtonHTMLAttributes, ReactNode } from 'react';
import styles from './button.module.css';

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  readonly kind?: 'main' | 'plain' | 'danger';
}

/** A button with words. */
export function Button({ kind = 'main', className = '', type = 'button', ...rest }: ButtonProps) {
  return <button type={type} className={`${styles.button} ${styles[kind]} ${className}`} {...rest} />;
}

interface IconButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  /** What the button does, for those who do not see the icon and as a tooltip. */
  readonly label: string;
  readonly children: ReactNode;
}

/** A button with an icon. */
export function IconButton({ label, className = '', type = 'button', ...rest }: IconButtonProps) {
  return <button type={type} className={`${styles.icon} ${className}`} aria-label={label} title={label} {...rest} />;
}
