module.exports = {
  modulePathIgnorePatterns: ['<rootDir>/built'],
  testEnvironment: 'node',
  testMatch: ['<rootDir>/tests/*.test.ts'],
  transform: { '^.+\\.tsx?$': ['ts-jest', { tsconfig: 'tsconfig.test.json' }] }
};
