export declare function makeFragments(
  mountPath: string,
  fsType: 'ext4' | 'xfs' | 'btrfs',
  files: readonly {
    readonly path: string;
    readonly sizeBytes: number;
    readonly fragmentCount: number;
  }[],
): void;
