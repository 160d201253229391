/** UUID version 7 (RFC 9562): 48 bits of Unix time in ms, then 74 random bits. Needs Web Crypto (browser, Node 22). */

const hex: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

export const uuidV7 = (nowMs: number): string => {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let time = Math.floor(nowMs);
  for (let i = 5; i >= 0; i -= 1) {
    bytes[i] = time % 256;
    time = Math.floor(time / 256);
  }
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  let text = '';
  bytes.forEach((byte, i) => {
    if (i === 4 || i === 6 || i === 8 || i === 10) text += '-';
    text += hex[byte];
  });
  return text;
};
