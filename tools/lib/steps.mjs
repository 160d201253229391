/** Step lines for a person: what is done, how long it took, and that a long one moves. */

const TICK_TTY_MS = 500;
const TICK_PIPE_MS = 10_000;

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

export const createSteps = (out = process.stdout) => {
  const isTty = Boolean(out.isTTY);
  const say = (line) => {
    out.write(`${line}\n`);
  };

  const step = async (title, work) => {
    const startedAt = Date.now();
    let note = '';
    let isOpen = false; // the line of a terminal that is rewritten in place
    const show = () => {
      const text = `  ${title} … ${seconds(Date.now() - startedAt)}${note && `  ${note}`}`;
      if (isTty) out.write(`\r\x1b[2K${text.slice(0, (out.columns ?? 80) - 1)}`);
      else say(text);
      isOpen = isTty;
    };
    const timer = setInterval(show, isTty ? TICK_TTY_MS : TICK_PIPE_MS);
    const tell = (line) => {
      note = line;
      if (isTty) show();
    };
    try {
      if (isTty) show();
      const result = await work(tell);
      clearInterval(timer);
      if (isOpen) out.write('\r\x1b[2K');
      say(`  ${title}: ${seconds(Date.now() - startedAt)}`);
      return result;
    } catch (error) {
      clearInterval(timer);
      if (isOpen) out.write('\r\x1b[2K');
      say(`  ${title}: failed after ${seconds(Date.now() - startedAt)}`);
      throw error;
    }
  };
  return { say, step };
};
