// A dialog over the page takes the focus, and gives it back to whom it had it from:
// the browser does not, because ours are taken out of the page while they are open.
export function modal(d: HTMLDialogElement, first?: string): () => void {
  const from = document.activeElement as HTMLElement | null;
  d.showModal();
  if (first) d.querySelector<HTMLElement>(first)?.focus();
  return () => {
    d.close();
    const lost = !document.activeElement || document.activeElement === document.body;
    if (!lost || !from || from === document.body) return;
    // What it was opened from may be gone with what was done.
    (from.isConnected ? from : document.getElementById("content"))?.focus({ preventScroll: true });
  };
}
