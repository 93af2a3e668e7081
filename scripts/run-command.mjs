import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The folder of the project. All paths and commands of the scripts are relative to it, not to the current folder. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Runs a command without showing its output.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<string>} its stdout
 * @throws {Error} with its whole output, if its exit code is not 0
 */
export async function runQuietly(command, args, options = {}) {
  const { code, output } = await runAndCollect(command, args, options);
  if (code !== 0) throw new Error(`${[command, ...args].join(' ')} failed with code ${code}:\n${output}`);
  return output;
}

/**
 * Runs a command to its end, whatever its exit code.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<{ code: number, output: string, stdout: string }>} `output` is stdout and stderr in the order of arrival
 */
export function runAndCollect(command, args, { cwd = root, env = process.env } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 1, output, stdout }));
  });
}

/**
 * Runs a command in this terminal.
 * @param {string} command
 * @param {string[]} args
 * @returns {Promise<number>} its exit code
 */
export function runInTerminal(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit' });
    // Ctrl-C reaches the child through the terminal; this process only waits for it.
    for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => child.kill(signal));
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 1)));
  });
}
