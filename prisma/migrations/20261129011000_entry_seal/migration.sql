-- With what the instances seal the entries that they publish: only who can read this database can write one that is believed.
CREATE TABLE "chat_keys" (
    "name" TEXT NOT NULL,
    "key" BYTEA NOT NULL,
    CONSTRAINT "chat_keys_pkey" PRIMARY KEY ("name")
);

-- 244 random bits, by the server's strong source.
INSERT INTO chat_keys (name, key)
VALUES ('entries', sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
