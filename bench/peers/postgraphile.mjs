import { createServer } from 'node:http';
import pg from 'pg';
import { postgraphile } from 'postgraphile';
import { makePgService } from 'postgraphile/adaptors/pg';
import { grafserv } from 'postgraphile/grafserv/node';
import { PostGraphileAmberPreset } from 'postgraphile/presets/amber';
import { tellReady } from './message.mjs';

/**
 * PostGraphile 5 with the schema that it builds from Fairway's tables. Values that no column has are functions, as in its
 * documentation.
 */
const functions = `
  CREATE SCHEMA peer;
  CREATE FUNCTION peer.viewer_rooms(viewer int) RETURNS SETOF public.chat_rooms LANGUAGE sql STABLE AS $$
    SELECT r.* FROM public.chat_room_members m JOIN public.chat_rooms r ON r.id = m.room_id
    WHERE m.user_id = viewer AND m.left_at IS NULL ORDER BY r.updated_at DESC $$;
  CREATE FUNCTION public.chat_rooms_last_message(r public.chat_rooms) RETURNS public.chat_messages LANGUAGE sql STABLE AS $$
    SELECT * FROM public.chat_messages c WHERE c.room_id = r.id AND c.deleted_at IS NULL ORDER BY c.seq DESC LIMIT 1 $$;
  CREATE FUNCTION public.chat_rooms_newest_messages(r public.chat_rooms) RETURNS SETOF public.chat_messages LANGUAGE sql STABLE AS $$
    SELECT * FROM public.chat_messages c WHERE c.room_id = r.id ORDER BY c.seq DESC $$;
  CREATE FUNCTION public.chat_rooms_unread_count(r public.chat_rooms, viewer int) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT count(*)::int FROM public.chat_room_members m JOIN public.chat_messages c
      ON c.room_id = m.room_id AND c.seq > greatest(m.last_read_seq, m.joined_seq)
    WHERE m.room_id = r.id AND m.user_id = viewer AND m.left_at IS NULL
      AND c.sender_id <> viewer AND c.type <> 'SYSTEM' AND c.deleted_at IS NULL $$;
  CREATE FUNCTION public.chat_messages_read_count(c public.chat_messages) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT count(*)::int FROM public.chat_room_members m WHERE m.room_id = c.room_id AND m.left_at IS NULL
      AND m.user_id <> c.sender_id AND m.last_read_seq >= c.seq $$;
`;

// PostGraphile requires Node 22; on Node 20 it lacks only this.
Promise.withResolvers ??= () => {
  const deferred = {};
  deferred.promise = new Promise((resolve, reject) => Object.assign(deferred, { resolve, reject }));
  return deferred;
};

const connectionString = process.env.DATABASE_URL;
const client = new pg.Client({ connectionString });
await client.connect();
await client.query(functions);
await client.end();

const instance = postgraphile({
  extends: [PostGraphileAmberPreset],
  pgServices: [makePgService({ connectionString, schemas: ['public', 'peer'], poolConfig: { max: 20 } })],
  grafserv: { graphiql: false, watch: false },
  grafast: { explain: false },
});
const server = createServer();
server.on('error', (error) => {
  throw error;
});
await instance.createServ(grafserv).addTo(server);
server.listen(0, '127.0.0.1', () => tellReady(server.address().port));
