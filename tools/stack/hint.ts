/** Something a person must do; the message is the sentence that says it, printed without a stack. */
export class Hint extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'Hint';
  }
}
