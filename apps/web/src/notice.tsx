/** A page with one thing to say. */

export const Notice = ({
  title,
  text,
  failure,
}: {
  title: string;
  text: string;
  failure?: string | undefined;
}) => (
  <main class="notice">
    <img src="/favicon.svg" alt="" width="56" height="56" />
    <h1>{title}</h1>
    {text && <p>{text}</p>}
    {failure && (
      <p role="alert" class="failure">
        The server does not answer as it should ({failure}). Trying again…
      </p>
    )}
  </main>
);
