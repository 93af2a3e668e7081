/** One field of a stored thing. The kind of its value decides how it is read from a row and checked in a body. */
export interface Field<Value, Kind extends string = string> {
  readonly kind: Kind;
  readonly isNullable: boolean;
  /** Exists for the compiler only. */
  readonly value?: Value;
}

/** All fields of a stored thing: its type, its row and its body follow from this. */
export type Shape<Kind extends string = string> = Readonly<Record<string, Field<unknown, Kind>>>;

/** The type of a value with this shape. */
export type Shaped<Of extends Shape> = { readonly [Name in keyof Of]: ValueOf<Of[Name]> };

export type ValueOf<Of> = Of extends Field<infer Value> ? Value : never;

/** A field without a column of its own: SQL computes it, for example from other tables. */
export interface Computed {
  readonly isComputed: true;
}
export const computed = <Of extends Field<unknown>>(field: Of): Of & Computed => ({ ...field, isComputed: true });

/** The names of the computed fields. */
export type ComputedIn<Of extends Shape> = {
  [Name in keyof Of]: Of[Name] extends Computed ? Name : never;
}[keyof Of];

export const uuid: Field<string, 'uuid'> = { kind: 'uuid', isNullable: false };
export const text: Field<string, 'text'> = { kind: 'text', isNullable: false };
export const boolean: Field<boolean, 'boolean'> = { kind: 'boolean', isNullable: false };
export const userId: Field<number, 'userId'> = { kind: 'userId', isNullable: false };
/** The position of an entry in a room's log, from 1. */
export const position: Field<number, 'position'> = { kind: 'position', isNullable: false };
/** The position of a mark in a room's log: 0 is before the first entry. */
export const mark: Field<number, 'mark'> = { kind: 'mark', isNullable: false };
export const time: Field<Date, 'time'> = { kind: 'time', isNullable: false };

/** One of these texts. */
export interface OneOf<Value extends string> extends Field<Value, 'oneOf'> {
  readonly all: ReadonlySet<Value>;
}
export const oneOf = <Value extends string>(all: readonly Value[]): OneOf<Value> => ({
  kind: 'oneOf',
  isNullable: false,
  all: new Set(all),
});

/** At most `max` values, stored as JSON or an array. */
export interface ListOf<Item extends Field<unknown>> extends Field<ValueOf<Item>[], 'listOf'> {
  readonly item: Item;
  readonly max: number;
}
export const listOf = <Item extends Field<unknown>>(item: Item, max: number): ListOf<Item> => ({
  kind: 'listOf',
  isNullable: false,
  item,
  max,
});

/** An object that is stored as JSON, without times. */
export interface ObjectOf<Of extends Shape>
  extends Field<{ -readonly [Name in keyof Of]: ValueOf<Of[Name]> }, 'objectOf'> {
  readonly shape: Of;
}
export const objectOf = <Of extends Shape>(shape: Of): ObjectOf<Of> => ({ kind: 'objectOf', isNullable: false, shape });

export const orNull = <Value, Kind extends string>(field: Field<Value, Kind>): Field<Value | null, Kind> => ({
  ...field,
  isNullable: true,
});
