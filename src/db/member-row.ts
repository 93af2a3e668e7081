import { type Member, memberShape } from '../domain/room-log.js';
import { Prisma } from './generated/prisma/client.js';
import { createRowCodec, type JsonOf, type RowOf } from './row.js';
import type { User } from './user-row.js';

export const memberRow = createRowCodec(memberShape);

export type MemberRow = RowOf<typeof memberShape>;

/** A member with the user, where that was read with it. */
export type KnownMember = Member & { readonly user?: User };

/** The name of member m, user u, as it is shown in the room: null until they are confirmed there. */
export const nameOfMember = (m: string, u: string): Prisma.Sql =>
  Prisma.raw(`CASE WHEN ${m}.is_confirmed THEN ${u}.name END`);

/** A membership with its user's name, and whether that is shown to others in the room. */
export type NamedMemberRow = MemberRow & { readonly name: string | null; readonly isConfirmed: boolean };

export const selectNamedMember = (m: string, u: string): Prisma.Sql =>
  Prisma.sql`${memberRow.select(m)}, ${Prisma.raw(`${u}.name, ${m}.is_confirmed AS "isConfirmed"`)}`;

/** Members as they are shown to one viewer: those who are not confirmed without their name, except the viewer. */
export function showMembers(rows: readonly NamedMemberRow[]): (viewerId: number | null) => readonly KnownMember[] {
  const own = new Map<number | null, { readonly place: number; readonly member: KnownMember }>();
  const shown = rows.map((row, place) => {
    if (row.isConfirmed) return toKnownMember(row, row.name);
    own.set(row.userId, { place, member: toKnownMember(row, row.name) });
    return toKnownMember(row, null);
  });
  return (viewerId) => {
    const viewer = own.get(viewerId);
    return viewer === undefined ? shown : shown.with(viewer.place, viewer.member);
  };
}

function toKnownMember(row: NamedMemberRow, name: string | null): KnownMember {
  const member: Member & { user?: User } = memberRow.decode(row);
  member.user = { id: row.userId, name };
  return member;
}

/** The fields that take longer to make than all the rest of a member: made only where they are selected. */
export const memberDetails = ['id', 'joinedAt', 'lastReadMessageId', 'lastReadAt'] as const;
export type MemberDetail = (typeof memberDetails)[number];

export type MemberJson = JsonOf<typeof memberShape>;

/** The room is known, and a member in a list has not left. Behind these comes the user's name. */
const listedColumns = memberRow.columns.filter(({ name }) => name !== 'roomId' && name !== 'leftAt');
const detailOf = (name: keyof Member): MemberDetail | undefined => memberDetails.find((detail) => detail === name);

/** A present member as one value, for a row of the room, with the user's name. */
export const memberJson = (m: string, userName: Prisma.Sql, details: readonly MemberDetail[]): Prisma.Sql => {
  const values = listedColumns.map(({ name, sql }) => {
    const [value, detail] = [Prisma.raw(sql(m)), detailOf(name)];
    // A parameter, so that one statement is prepared and not one for each choice of details.
    return detail === undefined ? value : Prisma.sql`CASE WHEN ${details.includes(detail)}::boolean THEN ${value} END`;
  });
  return Prisma.sql`json_build_array(${Prisma.join(values)}, ${userName})`;
};

/** A member of the value that `memberJson` made. */
export const toListedMember = (roomId: string, values: MemberJson, details: readonly MemberDetail[]): KnownMember =>
  // Its other fields are defined from the columns.
  new ListedMember(roomId, values, details) as Partial<KnownMember> as KnownMember;

/**
 * Few fields are selected of hundreds in a list: a field is made when it is read, so a copy of the own properties has none
 * of them.
 */
class ListedMember implements Pick<KnownMember, 'roomId' | 'leftAt' | 'user'> {
  static {
    for (const [place, { name, decode }] of listedColumns.entries()) {
      const detail = detailOf(name);
      Object.defineProperty(ListedMember.prototype, name, {
        get(this: ListedMember) {
          if (detail !== undefined) this.#assertSelected(detail);
          return decode(this.#values[place]);
        },
      });
    }
  }

  readonly roomId: string;
  readonly leftAt = null;
  readonly #values: MemberJson;
  readonly #details: readonly MemberDetail[];

  constructor(roomId: string, values: MemberJson, details: readonly MemberDetail[]) {
    this.roomId = roomId;
    this.#values = values;
    this.#details = details;
  }

  get user(): User {
    const { userId } = this as Partial<KnownMember> as KnownMember;
    return { id: userId, name: this.#values[listedColumns.length] as string | null };
  }

  /** The values have null for what is not selected: it must not be taken for a null that is stored. */
  #assertSelected(detail: MemberDetail): void {
    if (!this.#details.includes(detail)) throw new Error(`The ${detail} of a member was not selected`);
  }
}
