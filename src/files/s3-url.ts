/** A bucket, and where it is. */
export interface S3Place {
  readonly bucket: string;
  /** In front of every key: empty, or ends in `/`. */
  readonly prefix: string;
  readonly region: string;
  /** The address of the bucket, without a `/` at the end. */
  readonly url: string;
}

const parameters = ['region', 'endpoint', 'path-style'];
const secretsBelong = 'the key belongs into STORAGE_KEY_ID and STORAGE_SECRET_KEY, not into the URL';

/**
 * The place that `s3://bucket/prefix?region=…&endpoint=…&path-style=…` names. Without an endpoint it is Amazon's.
 * @throws {Error} about the first mistake, without the text of the URL, which may contain a secret
 */
export function parseS3Url(text: string): S3Place {
  const { hostname: bucket, pathname, searchParams, username, password } = new URL(text);
  if (username !== '' || password !== '') throw new Error(secretsBelong);
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    throw new Error('must name a bucket, such as s3://bucket?region=ap-northeast-2');
  }
  const prefix = pathname.replace(/^\/+|\/+$/g, '');
  if (!/^(?:[\w-][\w.-]*(?:\/[\w-][\w.-]*)*)?$/.test(prefix)) {
    throw new Error('the path may have letters, digits, -, _, . and / only');
  }
  const unknown = [...searchParams.keys()].find((name) => !parameters.includes(name));
  if (unknown !== undefined) throw new Error(`has only the parameters ${parameters.join(', ')}`);
  const region = searchParams.get('region') ?? '';
  if (!/^[\w-]{1,64}$/.test(region)) throw new Error('?region= is needed, such as ap-northeast-2');
  const endpoint = parseEndpoint(searchParams.get('endpoint') ?? `https://s3.${region}.amazonaws.com`);
  const isPathStyle = parseSwitch(searchParams.get('path-style') ?? 'false');
  const url = isPathStyle ? `${endpoint}/${bucket}` : endpoint.replace('://', `://${bucket}.`);
  return { bucket, prefix: prefix === '' ? '' : `${prefix}/`, region, url };
}

/** The mistake in a STORAGE_URL for S3; undefined if there is none. */
export function findS3UrlProblem(text: string): string | undefined {
  try {
    parseS3Url(text);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function parseEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['https:', 'http:'].includes(url.protocol)) {
    throw new Error('?endpoint= must be the URL of an S3, such as https://kr.object.ncloudstorage.com');
  }
  if (url.username !== '' || url.password !== '') throw new Error(secretsBelong);
  if (url.search !== '' || url.hash !== '') throw new Error('?endpoint= may have no parameters of its own');
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}

function parseSwitch(text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new Error('?path-style= must be true or false');
  return text === 'true';
}
