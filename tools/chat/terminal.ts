/** Lines in and out: a terminal with a prompt that stays below what is printed, or a pipe. */

import { clearLine, createInterface, cursorTo } from 'node:readline';

type Deps = {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
  readonly onLine: (line: string) => void;
  readonly onEnd: () => void;
};

export const createTerminal = ({ input, output, onLine, onEnd }: Deps) => {
  const isTerminal = input.isTTY && output.isTTY;
  const reader = createInterface({ input, output, terminal: isTerminal, prompt: '> ' });
  let isClosed = false;
  reader.on('line', onLine);
  reader.on('close', () => {
    isClosed = true;
    if (isTerminal) output.write('\n');
    onEnd();
  });
  return {
    say: (line: string): void => {
      if (isTerminal && !isClosed) {
        cursorTo(output, 0);
        clearLine(output, 0);
      }
      output.write(`${line}\n`);
      if (isTerminal && !isClosed) reader.prompt(true);
    },
    prompt: (text: string): void => {
      if (!isTerminal || isClosed) return;
      reader.setPrompt(text);
      reader.prompt(true);
    },
    close: (): void => {
      if (!isClosed) reader.close();
    },
  };
};
