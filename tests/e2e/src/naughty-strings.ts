/**
 * Message texts as they come in the wild. `fate` is what the contract says of each: stored and returned byte for byte,
 * or refused with that code. Our own list; characters that an editor would hide or change are written as escapes.
 */

import { TEXT_MAX_BYTES } from '@chat/contracts/limits';
import type { ErrorCode } from '@chat/contracts/errors';

export type NaughtyString = {
  readonly name: string;
  readonly text: string;
  /** `large`: stored or refused as too large, as the entry's bound on the *encoded* request has it. */
  readonly fate: 'stored' | 'large' | ErrorCode;
};

const stored = (name: string, text: string): NaughtyString => ({ name, text, fate: 'stored' });
const refused = (name: string, text: string, fate: ErrorCode): NaughtyString => ({ name, text, fate });

const scripts: readonly NaughtyString[] = [
  stored('Japanese', '吾輩は猫である。名前はまだ無い。'),
  stored('half-width katakana with voicing marks', 'ｶﾞｷﾞｸﾞｹﾞｺﾞ'),
  stored('kanji beyond the basic plane', '𠮷野家で𩸽を𠮟る'),
  stored('ideographic variation sequence', '葛\u{E0100}城 葛\u{E0101}飾'),
  stored('Arabic with marks', 'السَّلَامُ عَلَيْكُمْ'),
  stored('Hebrew with points', 'בְּרֵאשִׁית בָּרָא'),
  stored('mixed directions', 'price: ١٢٣ שקל (USD 45) — مرحبا'),
  stored('Devanagari conjuncts', 'क्षत्रिय ज्ञान श्रीमान्'),
  stored('Thai without blanks', 'ที่นี่มีแมวสิบตัว'),
  stored('Hangul composed and by jamo', '한글 한글'),
  stored('Tibetan stack', 'སངས་རྒྱས་'),
  stored('Turkish dotless and dotted i', 'Iİıi DİYARBAKIR ışık'),
  stored('German sharp s and its capital', 'Straße STRAẞE STRASSE'),
  stored('old scripts beyond the basic plane', '𒀭𒂗𒆤 𓀀𓁹 𐎠𐎢'),
];

const marksAndEmoji: readonly NaughtyString[] = [
  stored('emoji family by zero-width joiners', '👩‍👩‍👧‍👦👨🏽‍💻🏳️‍🌈🧑🏿‍🤝‍🧑🏻'),
  stored('flags by regional indicators, one left over', '🇯🇵🇺🇸🇯'),
  stored('flag by tags', '🏴\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}'),
  stored('keycaps', '1️⃣#️⃣*️⃣'),
  stored('composed and decomposed forms are not the same bytes', 'é e\u0301 Å A\u030A Å\u212B'),
  stored('a pile of combining marks', `Z${'\u0351\u036B\u0343\u036A\u0302'.repeat(40)}algo`),
  stored('begins with a combining mark', '\u0301abc'),
  stored('zero-width characters', 'a\u200Bb\u200Cc\u200Dd\u2060e'),
  stored('only a zero-width space', '\u200B'),
  stored('direction overrides left open', 'user\u202Egpj.exe \u2066isolate'),
  stored('private use and unassigned', '\uE000\u{F0000}\u{10FFFD}\u0378'),
  stored('non-characters', 'x\uFFFE\uFFFF\uFDD0\u{1FFFF}\u{10FFFF}x'),
  stored('replacement character', 'a\uFFFDb'),
  stored('byte order mark at the start and within', '\uFEFFtext\uFEFF'),
  stored('line and paragraph separators', 'a\u2028b\u2029c\u0085d'),
];

const asciiTraps: readonly NaughtyString[] = [
  stored('blanks and line ends kept', '  a\r\n\tb\n\n  '),
  stored('control characters', 'a\u0001\u0007\u0008\u001B[31mred\u001B[0m\u007Fz'),
  stored('C1 controls', 'a\u0080\u009Fz'),
  stored('backslashes', '\\ \\\\ \\n \\u0000 \\x00 \\uD800 C:\\new\\table'),
  stored('quotes', `" ' \` “ ” „ «»`),
  stored('JSON look-alike', '{"seq":1,"type":"message.sent","v":1}],"t":"tick"}'),
  stored('end of our own frame', ']}{"t":"events","events":[{"seq":999999}'),
  stored('our peeked keys', '"commandId":"x","hash":"y","actor":"z","data":{}}'),
  stored('SQL look-alike', `'; DROP TABLE event_log; -- $1 $$ \\'`),
  stored('PostgreSQL array and record look-alike', '{"a",NULL,\\"b\\"} (1,"x") {}'),
  stored('COPY look-alike', '\\N\t\\.\n\\.'),
  stored('NATS look-alike', 'PUB evt.0.t 5\r\nhello\r\n+OK\r\n-ERR\r\n'),
  stored('NATS subject look-alike', 'cmd.> evt.*.* $JS.API.>'),
  stored('HTTP look-alike', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
  stored('HTML and script', '<script>alert(1)</script><img src=x onerror=alert(1)>&amp;&#0;'),
  stored('template look-alikes', '${process.env.HOME} {{7*7}} %s %n %00 <%= 1 %>'),
  stored('prototype names', '__proto__ constructor toString hasOwnProperty'),
  stored('words that mean nothing', 'null undefined NaN Infinity true false -0 1e999'),
  stored('a number', '12345678901234567890'),
  stored('one character', 'x'),
  stored('one character beyond the basic plane', '𝕏'),
  stored('a very long word', 'w'.repeat(5_000)),
  stored('many lines', 'line\n'.repeat(4_000)),
];

const emptyOrBroken: readonly NaughtyString[] = [
  refused('empty', '', 'MSG_TEXT_EMPTY'),
  refused('blanks only', ' \t\r\n\u00A0\u3000\u2028', 'MSG_TEXT_EMPTY'),
  refused('byte order mark only', '\uFEFF', 'MSG_TEXT_EMPTY'),
  refused('NUL alone', '\u0000', 'MSG_TEXT_INVALID'),
  refused('NUL within', 'a\u0000b', 'MSG_TEXT_INVALID'),
  refused('high surrogate alone', 'a\uD83Db', 'MSG_TEXT_INVALID'),
  refused('low surrogate alone', 'a\uDE00b', 'MSG_TEXT_INVALID'),
  refused('surrogates the wrong way round', '\uDE00\uD83D', 'MSG_TEXT_INVALID'),
  refused('high surrogate at the end', 'end\uD83D', 'MSG_TEXT_INVALID'),
];

const KIB = 1024;

const sizes: readonly NaughtyString[] = [
  stored('exactly the bound, one byte each', 'a'.repeat(TEXT_MAX_BYTES)),
  stored('exactly the bound, three bytes each', `${'あ'.repeat(Math.floor(TEXT_MAX_BYTES / 3))}aa`),
  stored('exactly the bound, four bytes each', '😀'.repeat(TEXT_MAX_BYTES / 4)),
  refused('one byte over the bound', 'a'.repeat(TEXT_MAX_BYTES + 1), 'MSG_TEXT_TOO_LONG'),
  refused(
    'one character over the bound',
    `${'あ'.repeat(Math.floor(TEXT_MAX_BYTES / 3))}aaa`,
    'MSG_TEXT_TOO_LONG',
  ),
  { name: 'the bound in characters that JSON doubles', text: '"'.repeat(TEXT_MAX_BYTES), fate: 'large' },
  {
    name: 'the bound in characters that JSON makes six',
    text: '\u0001'.repeat(TEXT_MAX_BYTES),
    fate: 'large',
  },
  { name: '64 KiB − 1', text: 'a'.repeat(64 * KIB - 1), fate: 'large' },
  {
    name: '64 KiB − 1 of three bytes each',
    text: 'あ'.repeat(Math.floor((64 * KIB - 1) / 3)),
    fate: 'large',
  },
  { name: '200 KiB', text: 'a'.repeat(200 * KIB), fate: 'large' },
  { name: '1 MiB', text: 'a'.repeat(KIB * KIB), fate: 'large' },
];

export const naughtyStrings: readonly NaughtyString[] = [
  ...scripts,
  ...marksAndEmoji,
  ...asciiTraps,
  ...emptyOrBroken,
  ...sizes,
];

/** What an entry may answer to a `large` one that it refuses. */
export const tooLargeCodes: readonly ErrorCode[] = ['MSG_TEXT_TOO_LONG', 'FRAME_TOO_LARGE', 'BODY_TOO_LARGE'];
