import type { ComponentChildren } from 'preact';
import { hrefOf, type PageId } from '../model/route';

/** Title of a page; above an open thing the way back to the list it is from. */
export function PageHead({ title, back, children }: { title: ComponentChildren; back?: { page: PageId; label: string }; children?: ComponentChildren }) {
  return (
    <div class="page-head">
      <h1>
        {back && (
          <>
            <a href={hrefOf(back.page)}>{back.label}</a>
            <span aria-hidden="true" class="sep">
              /
            </span>
          </>
        )}
        <span class="title">{title}</span>
      </h1>
      {children}
    </div>
  );
}
