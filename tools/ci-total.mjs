/** Prints `N passed, N failed, N skipped` over vitest's JSON report and the outcomes of the other checks. */

import { readFileSync } from 'node:fs';

const [reportFile, checksFile] = process.argv.slice(2);

const readReport = () => {
  try {
    return JSON.parse(readFileSync(reportFile, 'utf8'));
  } catch {
    return undefined;
  }
};

const report = readReport();
const checks = readFileSync(checksFile, 'utf8').trim().split('\n');
// The check `tests` stands for the report itself and is counted only when that says nothing of why it failed.
const others = checks.slice(0, -1);
const testsCheckFailed = checks.at(-1) === 'fail';

const failedTests = report?.numFailedTests ?? 0;
// A file that could not be loaded fails without a failed test.
const failedFiles = (report?.testResults ?? []).filter(
  (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
).length;
let failed = failedTests + failedFiles + others.filter((outcome) => outcome === 'fail').length;
const passed = (report?.numPassedTests ?? 0) + others.filter((outcome) => outcome === 'pass').length;
const skipped = (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0);

if (testsCheckFailed && failedTests + failedFiles === 0) failed += 1;
if (!report || report.numTotalTests === 0) failed = Math.max(failed, 1);

console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = failed > 0 ? 1 : 0;
