import { describe, expect, it } from 'vitest';
import { findS3UrlProblem, parseS3Url } from '../../src/files/s3-url.js';

describe('parseS3Url', () => {
  it.each([
    ['s3://chat?region=ap-northeast-2', 'https://chat.s3.ap-northeast-2.amazonaws.com', ''],
    ['s3://chat/?region=ap-northeast-2&path-style=true', 'https://s3.ap-northeast-2.amazonaws.com/chat', ''],
    [
      's3://chat/fairway/prod/?region=auto&endpoint=https://storage.googleapis.com',
      'https://chat.storage.googleapis.com',
      'fairway/prod/',
    ],
    ['s3://chat?region=us-east-1&endpoint=http://minio:9000/&path-style=true', 'http://minio:9000/chat', ''],
    [
      's3://chat?region=kr-standard&endpoint=https://kr.object.ncloudstorage.com',
      'https://chat.kr.object.ncloudstorage.com',
      '',
    ],
    ['s3://chat?region=KR1&endpoint=https%3A%2F%2Fkr1.example%2Fs3&path-style=true', 'https://kr1.example/s3/chat', ''],
  ])('reads %s', (text, url, prefix) => {
    expect(parseS3Url(text)).toMatchObject({ bucket: 'chat', url, prefix });
  });

  it.each([
    ['s3:chat', 'must name a bucket'],
    ['s3://Chat?region=r', 'must name a bucket'],
    ['s3://chat', 'region= is needed'],
    ['s3://chat?region=r&endpoint=minio:9000', 'endpoint= must be the URL'],
    ['s3://chat?region=r&endpoint=ftp://minio', 'endpoint= must be the URL'],
    ['s3://chat?region=r&path-style=yes', 'path-style= must be true or false'],
    ['s3://chat?region=r&acl=public', 'only the parameters region, endpoint, path-style'],
    ['s3://chat/a//b?region=r', 'the path may have'],
    ['s3://id:hunter2@chat?region=r', 'STORAGE_SECRET_KEY, not into the URL'],
    ['s3://chat?region=r&endpoint=https://id:hunter2@minio', 'STORAGE_SECRET_KEY, not into the URL'],
  ])('refuses %s, without repeating it', (text, problem) => {
    expect(findS3UrlProblem(text)).toContain(problem);
    expect(findS3UrlProblem(text)).not.toContain('hunter2');
  });
});
