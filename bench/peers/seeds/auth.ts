import { JwtModule, type JwtService } from '@nestjs/jwt';

/** The user of a verified token. */
export interface ChatUser {
  readonly userId: number;
  readonly name: string;
}

export const jwtModule = JwtModule.register({
  secret: process.env['JWT_SECRET'] ?? '',
  verifyOptions: { algorithms: ['HS256'] },
});

/** @throws if the token is not valid */
export async function verifyUser(jwt: JwtService, token: string): Promise<ChatUser> {
  const { sub, name } = await jwt.verifyAsync<{ sub: string; name: string }>(token);
  return { userId: Number(sub), name };
}
