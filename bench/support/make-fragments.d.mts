/** `fragmentCount` pieces of one size, or else `pieces` of so many blocks of 4 KiB each. */
export type FragmentedFile = {
  readonly path: string;
  readonly sizeBytes: number;
} & ({ readonly fragmentCount: number } | { readonly pieces: readonly number[] });

export declare function makeFragments(
  mountPath: string,
  fsType: 'ext4' | 'xfs' | 'btrfs',
  files: readonly FragmentedFile[],
  options?: { readonly keepSpacers?: boolean },
): void;
