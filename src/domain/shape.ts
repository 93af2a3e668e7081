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
export type Shaped<Of extends Shape> = {
  readonly [Name in keyof Of]: Of[Name] extends Field<infer Value> ? Value : never;
};

export const uuid: Field<string, 'uuid'> = { kind: 'uuid', isNullable: false };
export const text: Field<string, 'text'> = { kind: 'text', isNullable: false };
export const boolean: Field<boolean, 'boolean'> = { kind: 'boolean', isNullable: false };
export const userId: Field<number, 'userId'> = { kind: 'userId', isNullable: false };
/** The position of an entry in a room's log, from 1. */
export const position: Field<number, 'position'> = { kind: 'position', isNullable: false };
/** The position of a mark in a room's log: 0 is before the first entry. */
export const mark: Field<number, 'mark'> = { kind: 'mark', isNullable: false };
export const time: Field<Date, 'time'> = { kind: 'time', isNullable: false };

export const orNull = <Value, Kind extends string>({ kind }: Field<Value, Kind>): Field<Value | null, Kind> => ({
  kind,
  isNullable: true,
});
