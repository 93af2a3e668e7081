import { type Member, memberShape } from '../domain/room-log.js';
import { Prisma } from './generated/prisma/client.js';
import { createRowCodec, type JsonOf, type RowOf } from './row.js';
import type { User } from './user-row.js';

export const memberRow = createRowCodec(memberShape, { known: ['roomId'] });

export type MemberRow = RowOf<typeof memberShape>;

/** A member with the user, if it was read with the member. */
export type KnownMember = Member & { readonly user?: User };

/** The name of member m, user u, as it is shown in the room: null until they are confirmed there. */
export const nameOfMember = (m: string, u: string): Prisma.Sql =>
  Prisma.raw(`CASE WHEN ${m}.is_confirmed THEN ${u}.name END`);

/** The fields that take longer to create than all others of a member: created only if they are selected. */
export const memberDetails = ['id', 'joinedAt', 'lastReadMessageId', 'lastReadAt'] as const;
export type MemberDetail = (typeof memberDetails)[number];

/** With the user's name, and whether others in the room see it. */
export type MemberJson = JsonOf<typeof memberShape, [userName: string | null, isConfirmed: boolean]>;

const detailOf = (name: keyof Member): MemberDetail | undefined => memberDetails.find((detail) => detail === name);

/** A member as one value in a row of the room. */
export const memberJson = (m: string, userName: Prisma.Sql, details: readonly MemberDetail[]): Prisma.Sql => {
  const [strings, values]: [string[], unknown[]] = [[], []];
  let text = 'json_build_array(';
  for (const { name, sql } of memberRow.jsonColumns) {
    const detail = detailOf(name);
    if (detail === undefined) {
      text += `${sql(m)}, `;
      continue;
    }
    // A parameter, so that one statement is prepared and not one for each choice of details.
    strings.push(`${text}CASE WHEN `);
    values.push(details.includes(detail));
    text = `::boolean THEN ${sql(m)} END, `;
  }
  return Prisma.sql([...strings, text, `, ${m}.is_confirmed)`], ...values, userName);
};

/** The room and the selection of a list. */
interface ListOrigin {
  readonly roomId: string;
  readonly details: readonly MemberDetail[];
  /** Whether the user's name is shown; true by default. */
  readonly isNamed?: boolean;
}

/** Returns the members as one viewer sees them: without the names of members who are not confirmed, except the viewer's own. */
export function showMembers(
  values: readonly MemberJson[],
  origin: ListOrigin,
): (viewerId: number | null) => readonly KnownMember[] {
  const own = new Map<number | null, { readonly place: number; readonly member: KnownMember }>();
  const shown = values.map((json, place) => {
    const member = toListedMember(json, origin);
    if (memberRow.restOfJson(json, 1)) return member;
    own.set(member.userId, { place, member });
    return toListedMember(json, { ...origin, isNamed: false });
  });
  return (viewerId) => {
    const viewer = own.get(viewerId);
    return viewer === undefined ? shown : shown.with(viewer.place, viewer.member);
  };
}

/** Creates a member from a value of `memberJson`. */
export const toListedMember = (json: MemberJson, origin: ListOrigin): KnownMember =>
  // Its other fields are defined from the columns.
  new ListedMember(json, origin) as Partial<KnownMember> as KnownMember;

/**
 * Creates each field when it is read, because few of the hundreds of fields in a list are selected. A copy of the own
 * properties has none of them.
 */
class ListedMember implements Pick<KnownMember, 'roomId' | 'user'> {
  static {
    for (const [place, { name, decode }] of memberRow.jsonColumns.entries()) {
      const detail = detailOf(name);
      Object.defineProperty(ListedMember.prototype, name, {
        get(this: ListedMember) {
          if (detail !== undefined) this.#assertSelected(detail);
          return decode(this.#json[place]);
        },
      });
    }
  }

  readonly #json: MemberJson;
  readonly #origin: ListOrigin;

  constructor(json: MemberJson, origin: ListOrigin) {
    this.#json = json;
    this.#origin = origin;
  }

  get roomId(): string {
    return this.#origin.roomId;
  }

  get user(): User {
    const { userId } = this as Partial<KnownMember> as KnownMember;
    const { isNamed = true } = this.#origin;
    return { id: userId, name: isNamed ? memberRow.restOfJson(this.#json, 0) : null };
  }

  /** A field that is not selected is null in the values, which must not be taken for a stored null. */
  #assertSelected(detail: MemberDetail): void {
    if (!this.#origin.details.includes(detail)) throw new Error(`The ${detail} of a member was not selected`);
  }
}
